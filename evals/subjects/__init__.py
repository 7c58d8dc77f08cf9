"""Who answers: endpoints, models in process, the agent, baselines."""
