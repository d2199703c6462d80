"""How the classroom model is made: painter, captions, training.

Run the stages with ``python -m classroom_model.train --help``.
"""
