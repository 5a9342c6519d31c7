"""When each picture and each sound of a source is shown, whatever its clocks say. Pure: no I/O, no clock."""
