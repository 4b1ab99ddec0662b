"""Takes images and labels in: looks at everything first, shows what it found, writes only into a staging folder.

scan.py is the door. A new kind of source: one file with a class that has the shape of contents.Contents, one line
in scan._open, one test. A new layout of labels: one file, one line in detect.py, one test.
"""
