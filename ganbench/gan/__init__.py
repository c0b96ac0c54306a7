"""What is trained: losses, networks, tricks and tasks, and how a recipe of them is built."""
