"""What lessons and commands stand on; no public names.

``devices``: which device, its memory. ``hub``: the model hub. ``loading``: what libraries say while they load.
``pictures``: read a picture from a file, an address, an array. ``rgb``: any picture as sRGB. ``settings``: what numbers
and texts may be. ``http_errors``: a server's refusal in words. ``writing``: files that are there whole or not at all.
"""
