"""A cell and a task as one program: static fields, layers over time, and a digest that changes with every edit."""
