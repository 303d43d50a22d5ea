#include "api_key.h"
#include "basic_auth.h"
#include "forward_auth.h"
#include "introspection.h"
#include "jwt.h"
#include "mtls.h"

using auth::ApiKey;
using auth::Basic;
using auth::ForwardAuth;
using auth::Introspection;
using auth::Jwt;
using auth::Mtls;
GW_PLUGIN(ApiKey, Basic, Jwt, Mtls, Introspection, ForwardAuth)
