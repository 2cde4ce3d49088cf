"""Is each saved file equal to the module that it was made from?"""
