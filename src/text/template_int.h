/* Private to text/: the forms of template_default.c. */
#pragma once
#include "text/template.h"

/* The name and source of the default template for a vocabulary (NULL: one without any known token). Never fails. */
const char *template_default(const struct vocab *v, struct str *source);
