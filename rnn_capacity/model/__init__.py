"""A cell and a task as one program: what is static of it, its layers over time, and a digest that knows an edit."""
