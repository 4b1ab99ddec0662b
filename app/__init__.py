"""The Streamlit app and the command line: they show and ask, the engine does."""
