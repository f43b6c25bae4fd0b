mod found;
mod harmless;
mod hostile;
mod made;
mod rules;
