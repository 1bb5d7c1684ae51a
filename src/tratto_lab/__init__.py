"""The workshop: data, degradations, networks, training and evaluation. The product never imports it."""
