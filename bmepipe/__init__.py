"""bmepipe: bone marrow edema from MRI. Research use only, not a medical device."""

__version__ = "0.1.0"
