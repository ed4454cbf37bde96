"""Networks: loading and running. torch and monai are imported inside functions."""
