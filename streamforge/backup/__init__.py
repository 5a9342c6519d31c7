"""Backups of a whole installation, made while it works, and what is made of them elsewhere.

    folder     what a backup is: its files, and the receipt that makes them one
    aside      a folder that is built beside its place, and is there when it is whole
    copies     a file that is copied, hashed on the way
    objects    the media store
    database   PostgreSQL's own pg_dump and pg_restore
    temporal   the database file of an embedded Temporal
    making     `streamforge backup`
    restoring  `streamforge restore`

The three parts of an installation change all the time, and each knows of the others. A backup has them as of one moment, in
this order: rows, then workflows, then objects. What is known of something is so never newer than the thing itself: a row
that was launched has its workflow, and what a workflow takes for encoded lies in the store. While the first two and the files
of unfinished jobs are copied, workers remove nothing (`streamforge.db.snapshot`); everything else takes its time.
"""
