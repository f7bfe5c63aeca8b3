package Bench::Cases;

# Copyright (C) the nginx gray module authors
#
# The ways to split traffic that are compared.  All have the same upstreams,
# app_v1 and app_v2, and where they split, 20% of the users get the latter;
# the cookie "uid" says who a user is.
#
# name, label   for the command line, for the tables
# quick         is measured in the short form, too
# gray          needs the module
# modules       what else it needs
# split         is to send some users to app_v2
# pass          the argument of proxy_pass
# http, server  directives of the case's own
# file          the name of a file of the case's own, and its text
# begin         what is to be asked for before it is measured
#
# Where there are rules, or maps in their place, none holds for a request of
# the bench.  The pool of a request is large enough for all cases: with one of
# the usual size, it depends on the length of headers which case is the first
# to need a further block, and that block (some 600 instructions) would be
# taken for a cost of the case.

use strict;
use warnings;

use Exporter ();

our @ISA = ('Exporter');
our @EXPORT = qw(backend_text case_text cases release_text);


my $rules = <<'END';
        match canary $http_x_canary = always;
        match stable $http_user_agent ~* bot|crawler;
END

# with the guards that there are by default, of keys

my $rollout = <<'END';
        rollout canary {
            step 20% hold=30d max_hold=60d;
        }
END

my $lua = <<'END';
        set_by_lua_block $backend {
            local hash = ngx.crc32_short(ngx.var.cookie_uid or "")

            if hash % 100 < 20 then
                return "app_v2"
            end

            return "app_v1"
        }
END

my $njs = <<'END';
import crypto from 'crypto';

function backend(r) {
    var hash = crypto.createHash('md5');

    hash.update(r.variables.cookie_uid || '');
    hash = parseInt(hash.digest('hex').substring(0, 8), 16);

    return hash % 100 < 20 ? 'app_v2' : 'app_v1';
}

export default { backend };
END


my @cases = (

    { name    => 'plain',
      label   => 'proxy_pass to one upstream',
      quick   => 1,
      pass    => 'http://app_v1' },

    { name    => 'idle',
      label   => 'the same beside a gray_release',
      gray    => 1,
      pass    => 'http://app_v1',
      http    => "    gray_zone gray 1m;\n\n" . release_text('bench') },

    { name    => 'gray',
      label   => 'gray_release',
      quick   => 1,
      gray    => 1,
      split   => 1,
      pass    => 'http://bench',
      http    => "    gray_zone gray 1m;\n\n" . release_text('bench') },

    { name    => 'gray-off',
      label   => 'gray_release without statistics',
      quick   => 1,
      gray    => 1,
      split   => 1,
      pass    => 'http://bench',
      http    => "    gray_zone gray 1m stats=off;\n\n"
                 . release_text('bench') },

    { name    => 'gray-rollout',
      label   => 'gray_release in a rollout',
      quick   => 1,
      gray    => 1,
      split   => 1,
      pass    => 'http://bench',
      begin   => 'POST /gray/releases/bench/rollout/start',
      server  => "        location /gray/ { gray_admin; }\n",
      http    => "    gray_zone gray 1m;\n\n"
                 . release_text('bench', $rollout) },

    { name    => 'gray-rules',
      label   => 'gray_release with two rules',
      gray    => 1,
      split   => 1,
      pass    => 'http://bench',
      http    => "    gray_zone gray 1m;\n\n"
                 . release_text('bench', $rules) },

    { name    => 'split',
      label   => 'split_clients',
      quick   => 1,
      split   => 1,
      pass    => 'http://$backend',
      http    => <<'END' },
    split_clients $cookie_uid $backend {
        20%  app_v2;
        *    app_v1;
    }
END

    { name    => 'split-map',
      label   => 'split_clients with two maps',
      split   => 1,
      pass    => 'http://$backend',
      http    => <<'END' },
    split_clients $cookie_uid $split {
        20%  app_v2;
        *    app_v1;
    }

    map $http_user_agent $human {
        default          $split;
        "~*bot|crawler"  app_v1;
    }

    map $http_x_canary $backend {
        default  $human;
        always   app_v2;
    }
END

    { name    => 'lua',
      label   => 'Lua, set_by_lua_block',
      modules => [ qw(ndk_http_module ngx_http_lua_module) ],
      split   => 1,
      pass    => 'http://$backend',
      server  => $lua },

    { name    => 'njs',
      label   => 'njs, js_set',
      modules => [ qw(ngx_http_js_module) ],
      split   => 1,
      pass    => 'http://$backend',
      file    => [ 'split.js', $njs ],
      http    => <<'END' },
    js_path %%DIR%%;
    js_import split.js;
    js_set $backend split.backend;
END
);


sub cases { return @cases }


sub release_text {
    my ($name, $rules) = @_;

    $rules = '' unless defined $rules;

    return <<"END";
    gray_release $name {
        zone gray;
        hash \$cookie_uid;
        variant stable app_v1;
        variant canary app_v2 weight=20%;
$rules    }
END
}


sub case_text {
    my ($case) = @_;

    my ($http, $server) = map { defined $_ ? $_ : '' }
                              @{$case}{qw(http server)};

    return <<"END";
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    request_pool_size 16k;

    upstream app_v1 {
        server 127.0.0.1:%%PORT_v1%%;
        keepalive 64;
        keepalive_requests 1000000000;
    }

    upstream app_v2 {
        server 127.0.0.1:%%PORT_v2%%;
        keepalive 64;
        keepalive_requests 1000000000;
    }

$http
    server {
        listen 127.0.0.1:%%PORT%%;

$server
        proxy_http_version 1.1;
        proxy_set_header Connection "";

        location / {
            proxy_pass $case->{pass};
        }

        location = /v2 {
            proxy_pass http://app_v2;
        }
    }
}
END
}


# what the upstreams are, in a process of its own

sub backend_text {
    my $servers = join '', map { <<"END" } qw(v1 v2);
    server {
        listen 127.0.0.1:%%PORT_$_%%;

        location / {
            return 200 "$_\\n";
        }

        location = /connections {
            stub_status;
        }
    }
END

    return <<"END";
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;

$servers}
END
}


1;
