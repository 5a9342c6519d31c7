"""The process that media work runs in: forked from a zygote, within limits, one task each."""
