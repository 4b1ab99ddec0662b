"""The web server: the gate, Streamlit with the routes, the open projects."""
