#pragma once
#include "hub/hub.h"

const char *store_dir(const struct store *s);
