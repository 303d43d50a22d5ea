/* The ABI as a C author sees it: a whole plugin that does nothing. */
#include <penstock_plugin.h>

static gw_action next(const gw_call* call) {
  (void)call;
  return GW_CONTINUE;
}

static const char* const needs[] = {GW_HTTP_V0, NULL};
static const gw_plugin nothing = {.struct_size = sizeof(gw_plugin),
                                  .type = {"nothing", 7},
                                  .version = {"1.0.0", 5},
                                  .needs = needs,
                                  .on_request_headers = next};
static const gw_plugin* const plugins[] = {&nothing, NULL};
const gw_entry gw_plugin_entry = {GW_MAGIC, sizeof(gw_entry), GW_ABI_MAJOR, GW_ABI_MINOR, 0, NULL,
                                  NULL,     plugins};

_Static_assert(sizeof(gw_str) == 16 && sizeof(gw_ticket) == 16 && sizeof(gw_action) == 4,
               "the layout of 64-bit Linux");
_Static_assert(offsetof(gw_plugin, configure) == 56, "released members stay where they are");

int has_arena(const gw_http_v0* http) { return GW_HAS(http, arena_alloc); }
