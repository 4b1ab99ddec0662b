"""Work in a process of its own beside the app: maps, checks, timings.

`folder` says what a job's folder holds, `parent` starts and watches a job, `child` is the frame of its process. A job
is two files: one that plans it and reads its results, and `…_work`, its process: a function and `child.main`.
"""
