"""The runs of a scaling study: what is asked, how it is launched, and what is read back."""
