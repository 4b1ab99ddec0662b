"""Starling's own routes beside Streamlit's pages; one file a subject, as the pages and desks."""
