"""The examination of a site on demand, from its settings up to WeChat, with what to do about each finding."""
