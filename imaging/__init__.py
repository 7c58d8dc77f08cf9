"""Read, check, de-identify and render studies. The ground floor: imports nothing of ours."""
