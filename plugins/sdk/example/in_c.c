/* Refuses clients by their User-Agent, in plain C: `refuse:` is a list of texts, one of which in the header
 * is enough. Everything that it may call, and when, is in penstock_plugin.h. */
#include <penstock_plugin.h>
#include <stdlib.h>
#include <string.h>

static const gw_host* host;
static const gw_http_v0* http;
static const gw_config_v0* config;

static gw_str str(const char* text) {
  const gw_str view = {text, strlen(text)};
  return view;
}

typedef struct {
  gw_id user_agent;
  size_t count;
  gw_str* texts; /* ours, each with its bytes */
} instance;

static void destroy(void* inst) {
  instance* self = inst;
  size_t i;
  for (i = 0; i < self->count; ++i) free((char*)self->texts[i].ptr);
  free(self->texts);
  free(self);
}

/* A copy: what the configuration lends ends with configure. */
static gw_rc keep(instance* self, gw_str text) {
  char* copy = malloc(text.len);
  if (copy == NULL) return GW_ELIMIT;
  memcpy(copy, text.ptr, text.len);
  self->texts[self->count].ptr = copy;
  self->texts[self->count++].len = text.len;
  return GW_OK;
}

static gw_rc read_list(instance* self, const gw_node* list) {
  const size_t size = config->size(list);
  size_t i;
  self->texts = calloc(size, sizeof *self->texts);
  if (self->texts == NULL) return GW_ELIMIT;
  for (i = 0; i < size; ++i) {
    const gw_node* item = config->item(list, i);
    gw_str text = {NULL, 0};
    gw_rc rc = config->get_string(item, &text); /* says what is wrong, and where */
    if (rc >= 0 && text.len == 0) config->error(item, str("is empty, which would refuse everybody"));
    if (rc >= 0 && text.len > 0) rc = keep(self, text);
    if (rc < 0) return rc;
  }
  return GW_OK;
}

static gw_rc configure(const gw_node* node, void** inst) {
  const gw_str keys[] = {str("refuse")};
  const gw_node* list = config->get(node, keys[0]);
  instance* self;
  config->check_keys(node, keys, 1);
  if (list == NULL || config->kind(list) != GW_NODE_LIST || config->size(list) == 0) {
    config->error(node, str("'refuse' must be a list of texts"));
    return GW_EINVAL;
  }
  self = calloc(1, sizeof *self);
  if (self == NULL) return GW_ELIMIT;
  *inst = self; /* from here on destroy is called, whatever we return */
  self->user_agent = http->header_id(host, str("user-agent"));
  return read_list(self, list);
}

static int contains(gw_str text, gw_str part) {
  size_t at;
  for (at = 0; at + part.len <= text.len; ++at)
    if (memcmp(text.ptr + at, part.ptr, part.len) == 0) return 1;
  return 0;
}

static gw_action on_request_headers(const gw_call* call) {
  const instance* self = call->inst;
  const gw_str agent = http->header_get(call->req, GW_REQUEST, self->user_agent, 0);
  size_t i;
  for (i = 0; i < self->count; ++i) {
    if (!contains(agent, self->texts[i])) continue;
    http->problem(call->req, 403, str("client.refused"), str("this client is not welcome"), str(""));
    return GW_RESPOND;
  }
  return GW_CONTINUE;
}

/* It looks at the request alone, so `penstock explain` may ask it. */
static gw_action explain(const gw_call* call, gw_explanation* out) {
  (void)out;
  return on_request_headers(call);
}

static gw_str schema(void) {
  return str(
      "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"title\":\"in_c\",\"type\":\"object\","
      "\"properties\":{\"refuse\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
      "\"description\":\"Texts; a User-Agent that contains one is refused\"}},\"required\":[\"refuse\"]}");
}

static gw_rc init(const gw_host* h) {
  host = h;
  http = h->get_extension(h, GW_HTTP_V0);
  config = h->get_extension(h, GW_CONFIG_V0);
  return GW_OK; /* `needs` made sure that both are there */
}

static const char* const needs[] = {GW_HTTP_V0, GW_CONFIG_V0, NULL};
static const gw_plugin plugin = {
    .struct_size = sizeof(gw_plugin),
    .type = {"in_c", 4},
    .version = {"1.0.0", 5},
    .schema = schema,
    .needs = needs,
    .configure = configure,
    .destroy = destroy,
    .on_request_headers = on_request_headers,
    .explain = explain,
};
static const gw_plugin* const plugins[] = {&plugin, NULL};

GW_EXPORT const gw_entry gw_plugin_entry = {
    .magic = GW_MAGIC,
    .struct_size = sizeof(gw_entry),
    .abi_major = GW_ABI_MAJOR,
    .abi_minor = GW_ABI_MINOR,
    .init = init,
    .plugins = plugins,
};
