"""What the loops of several papers have in common: how a kind of scene follows a guidance.

A field's is DreamFusion's own (recipes/dreamfusion.py).
"""
