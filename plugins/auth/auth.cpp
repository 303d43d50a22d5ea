#include "api_key.h"
#include "jwt.h"
#include "mtls.h"

using auth::ApiKey;
using auth::Jwt;
using auth::Mtls;
GW_PLUGIN(ApiKey, Jwt, Mtls)
