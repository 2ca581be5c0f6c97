"""Frozen denoisers of pictures, one family a file; each obeys `dreamlift.prior.Prior`."""
