def programs(): pass
