"""From the opinions of several agents to one consensus: asking, scoring, weighing, pooling."""
