"""Sound: which tracks a stream gets, in which layouts, and how a source is mixed into them."""
