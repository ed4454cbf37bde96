"""Files to nouns: DICOM and NIfTI, read right or refused."""
