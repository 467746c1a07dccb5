"""One command on any GPU: what fits the minutes is measured, trained and written down.

`align gpu` asks what the device is, plans units of work, most valuable first, and writes a report
after each of them, so that a kill at any second keeps what is done.
"""
