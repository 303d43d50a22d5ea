/* What ABI 0.9 laid out is laid out so today, in C. */
#include <assert.h>
#include <penstock_plugin.h>

#include "layout_0_9.inc"
