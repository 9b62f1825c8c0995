"""Which method to take for a set: short trainings within a time, what they tell, and the folder to deploy."""
