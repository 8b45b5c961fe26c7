"""Client support: which mail programs do not understand what a mail is written with, by the data of caniemail.com.

`features.json` is a part of https://www.caniemail.com/api/data.json (MIT, see LICENSE), made by
`python -m notifications.client_support.reduced`: the features that `marks.py` recognises, and the programs that many
shoppers use in which the newest version that was tested does not support them.
"""
