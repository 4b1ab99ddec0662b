"""Takes images and labels in: looks at everything first, shows what it found, writes only into a staging folder.

scan.py is the door. A new kind of source: one file with a class that has the shape of contents.Contents, one line
in scan._open, one test. A new way that labels come: one file in formats, one line in its FORMATS, one test. A new kind
of file that holds images: one entry in containers.CONTAINERS, one test.
"""
