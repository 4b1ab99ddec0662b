"""Images as bytes: safe decoding in a limited child, thumbnails, and the uint8 arrays that training reads."""
