/* Shared objects that must be refused, each with one thing wrong. */
#include <penstock_plugin.h>

static gw_action next(const gw_call* call) {
  (void)call;
  return GW_CONTINUE;
}
static gw_rc init(const gw_host* host) {
  (void)host;
  return GW_ERROR;
}

#if defined(NEEDS_MORE)
static const char* const needs[] = {"gw.http/0", "gw.fetch/7", NULL};
#else
static const char* const needs[] = {"gw.http/0", NULL};
#endif
static const gw_plugin plugin = {.struct_size = sizeof(gw_plugin),
                                 .type = {"wrong", 5},
                                 .version = {"1.0.0", 5},
                                 .needs = needs,
                                 .on_request_headers = next};
static const gw_plugin* const plugins[] = {&plugin, NULL};

#if defined(WRONG_MAGIC)
#define MAGIC 1
#else
#define MAGIC GW_MAGIC
#endif
#if defined(OTHER_ABI)
#define MAJOR 77
#else
#define MAJOR GW_ABI_MAJOR
#endif
#if defined(FAILING_INIT)
#define INIT init
#else
#define INIT NULL
#endif
const gw_entry gw_plugin_entry = {MAGIC, sizeof(gw_entry), MAJOR, GW_ABI_MINOR, 0, INIT, NULL, plugins};
gw_rc (*const unused)(const gw_host*) = init;
