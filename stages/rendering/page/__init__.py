"""A page that plays takes as live heads: what it is made of (html, css, js) and what goes into it."""
