"""What others would use for the same file: each a script that runs in an environment of its own.

They import nothing of this project, and print one line of JSON: seconds from opening the file to the last
commit, and rows in the table.
"""
