"""Collecting free pictures from open collections, with the licence and the attribution of each.

:mod:`~tratto_lab.collect.client` speaks HTTP politely and carefully, one module for each source knows the shape of
its answers, :mod:`~tratto_lab.collect.licences` decides what is free, and :mod:`~tratto_lab.collect.run` brings
pictures home so that a kill at any moment loses and doubles nothing.
"""
