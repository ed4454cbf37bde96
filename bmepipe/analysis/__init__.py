"""Arrays in, arrays out: no files, no DICOM, no torch."""
