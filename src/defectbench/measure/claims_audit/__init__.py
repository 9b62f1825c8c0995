"""The claims audit: arithmetic on what papers print, without a record of ours.

Each check takes the tables of one paper and the counts that are known of networks, and returns what it found with its
arithmetic spelled out. No verdict is typed in anywhere.
"""
