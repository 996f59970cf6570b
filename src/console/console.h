/* The console: the page embedded in the program. It talks to the server through the public API alone. */
#pragma once
#include "net/server.h"

/* Answers "/" with index.html and "/page/{file}" with that file; 404 for others. */
void console_page(struct http *r);
