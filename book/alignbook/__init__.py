"""What only the pages of the book use: reports of records, exercises, sliders, tiers, speed."""
