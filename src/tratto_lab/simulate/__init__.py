"""What happens to pictures: seeded degradations with their physical models."""
