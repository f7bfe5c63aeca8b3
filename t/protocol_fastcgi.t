#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Releases of FastCGI, SCGI and uwsgi backends, by name and by a variable.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Release;

my %backend = (fastcgi => \&fastcgi, scgi => \&scgi, uwsgi => \&uwsgi);

my $t = Test::Gray->new;

my ($http, $locations) = ('', '');

for my $protocol (sort keys %backend) {
    $http .= <<"END";
    upstream ${protocol}_v1 { server 127.0.0.1:%%PORT_${protocol}_v1%%; }
    upstream ${protocol}_v2 {
        server 127.0.0.1:%%PORT_${protocol}_v2%%;
        keepalive 4;
    }

    gray_release $protocol {
        zone gray;
        hash \$arg_uid;
        variant stable ${protocol}_v1;
        variant canary ${protocol}_v2 weight=0%;
        match canary \$http_x_canary = always;
    }
END

    # a name that stands in nginx.conf, and one that is made for each request

    my %pass = ("/$protocol" => $protocol, "/set_$protocol" => '$to');

    $locations .= <<"END" for sort keys %pass;
        location $_ {
            set \$to $protocol;
            ${protocol}_pass $pass{$_};
            ${protocol}_param REQUEST_METHOD \$request_method;
            ${protocol}_param REQUEST_URI    \$request_uri;
            ${protocol}_param CONTENT_LENGTH \$content_length;
            ${protocol}_param GRAY_VARIANT   \$gray_$protocol;
        }
END

    for my $name (qw(v1 v2)) {
        $t->daemon("${protocol}_$name", $backend{$protocol}->(sub {
            my ($params, $body) = @_;

            return "$name $params->{REQUEST_METHOD} $params->{REQUEST_URI} "
                   . "$params->{GRAY_VARIANT} " . length $body;
        }));
    }
}

$t->config(<<"END")->start;
http {
    gray_zone gray 2m;
    fastcgi_keep_conn on;

$http
    server {
        listen 127.0.0.1:%%PORT%%;
$locations
        location /gray/ { gray_admin; }
    }
}
END

for my $path (map { ("/$_", "/set_$_") } sort keys %backend) {
    my ($protocol) = $path =~ /([a-z]+)$/;

    follows_release($t, $protocol, sub {
        my (@requests) = @_;

        return map { $_->{body} =~ /^(v\d) / ? $1 : $_->{status} }
            $t->many(scalar @requests, sub {
                my $request = $requests[$_[0]];
                return ("$path?uid=$request->{uid}",
                        $request->{canary} ? ('X-Canary' => 'always') : ());
            });
    });

    is($t->get("$path?uid=1")->{body},
       "v1 GET $path?uid=1 stable 0", "$path: parameters");

    for my $size (10, 100_000) {
        is($t->request('POST', $path, [ 'X-Canary' => 'always' ],
                       'x' x $size)->{body},
           "v2 POST $path canary $size", "$path: a body of $size bytes");
    }
}

$t->done;
