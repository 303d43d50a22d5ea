/* A plugin with one thing wrong: which one is a definition. */
#include <penstock_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int* volatile nowhere;

static void crash(void) { *nowhere = 1; }
static void hang(void) {
  for (;;) pause();
}

__attribute__((constructor)) static void loaded(void) {
#if defined(CRASH_LOADING)
  crash();
#elif defined(EXIT_LOADING)
  exit(0);
#elif defined(HANG_LOADING)
  hang();
#elif defined(LEAVES_PROCESS)
  if (fork() == 0) hang();
#elif defined(PRINTS)
  puts("I was loaded");
  fflush(stdout);
#endif
  if (getppid() == 0) crash(), hang(); /* never; both are used in every variant */
}
__attribute__((destructor)) static void unloaded(void) {
#if defined(CRASH_UNLOADING)
  crash();
#endif
}

#if defined(EXPORTS_MORE)
GW_EXPORT void another_symbol(void) {}
#elif defined(MISSING_SYMBOL)
void nobody_has_this(void);
#elif defined(BORROWED_SYMBOL)
void* uv_loop_new(void); /* of libuv, which the daemon happens to have */
#endif

static gw_rc init(const gw_host* host) {
  (void)host;
#if defined(MISSING_SYMBOL)
  void (*volatile used)(void) = nobody_has_this;
#elif defined(BORROWED_SYMBOL)
  void* (*volatile used)(void) = uv_loop_new;
#endif
#if defined(MISSING_SYMBOL) || defined(BORROWED_SYMBOL)
  if (used == NULL) return GW_ERROR;
#endif
  return GW_OK;
}

static gw_str schema(void) {
#if defined(ABORT_SCHEMA)
  abort();
#elif defined(WRONG_SCHEMA)
  const gw_str text = {"[1,", 3};
#else
  const gw_str text = {"{}", 2};
#endif
#if !defined(ABORT_SCHEMA)
  return text;
#endif
}

static gw_rc configure(const gw_node* node, void** inst) {
  (void)node;
  *inst = NULL;
#if defined(CRASH_CONFIGURE)
  crash();
#elif defined(HANG_CONFIGURE)
  hang();
#endif
  return GW_OK;
}
static void destroy(void* inst) {
  (void)inst;
#if defined(CRASH_DESTROY)
  crash();
#endif
}
static gw_action on_request_headers(const gw_call* call) {
  (void)call;
  return GW_CONTINUE;
}

static const gw_plugin plugin = {
    .struct_size = sizeof(gw_plugin),
    .type = {"odd", 3},
#if defined(NO_VERSION)
    .version = {"", 0},
#else
    .version = {"1.0.0", 5},
#endif
    .schema = schema,
    .configure = configure,
    .destroy = destroy,
#if !defined(NO_HOOK)
    .on_request_headers = on_request_headers,
#endif
};
static const gw_plugin* const plugins[] = {&plugin, NULL};

#if defined(NO_ENTRY)
extern const gw_entry some_other_entry;
#define gw_plugin_entry some_other_entry
#endif
const gw_entry gw_plugin_entry = {
    .magic = GW_MAGIC,
    .struct_size = sizeof(gw_entry),
    .abi_major = GW_ABI_MAJOR,
    .abi_minor = GW_ABI_MINOR,
    .init = init,
    .plugins = plugins,
};
