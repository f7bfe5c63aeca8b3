#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted of backends of FastCGI, SCGI, uwsgi and memcached: what they
# answer, a connection that is refused, a response that breaks off.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Backend;
use Test::Gray::Counted;

my $t = Test::Gray->new;

$t->daemon(fastcgi => fastcgi(\&answer));
$t->daemon(scgi => scgi(\&answer));
$t->daemon(uwsgi => uwsgi(\&answer));
$t->daemon(memcached => Test::Gray::Backend::serve(\&memcached));

my @protocols = qw(fastcgi scgi uwsgi memcached);
my $counted = Test::Gray::Counted->new($t,
    map { $_ => "server 127.0.0.1:%%PORT_$_%%;" } @protocols, 'dead');

my $locations = join '', map {
    my $protocol = $_;
    my $params = $protocol eq 'memcached'
        ? 'set $memcached_key $arg_do;'
        : "${protocol}_param CONTENT_LENGTH \$content_length;"
          . " ${protocol}_param DO \$arg_do;";
    my $off = $protocol eq 'memcached' ? '' : "${protocol}_buffering off;";

    <<"END"
        location = /$protocol { ${protocol}_pass $protocol; $params }
        location = /$protocol/unbuffered { ${protocol}_pass $protocol;
                                           $off $params }
        location = /$protocol/dead { ${protocol}_pass dead; $params }
END
} @protocols;

$t->config(<<"END")->start;
http {
${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

$locations
        location = /fastcgi/kept { fastcgi_pass fastcgi; fastcgi_keep_conn on;
                                   fastcgi_param DO \$arg_do; }

        location = /caught { set \$memcached_key none;
                             memcached_pass memcached;
                             error_page 404 = \@uwsgi; }
        location \@uwsgi { uwsgi_pass uwsgi;
                          uwsgi_param CONTENT_LENGTH \$content_length;
                          uwsgi_param DO ""; }
    }
}
END


# -- backends

sub answer {
    my ($params, undef, $socket) = @_;

    my $do = $params->{DO};

    # a part: without the end of the request, or of what was announced

    if ($do eq 'cut') {
        records($socket, [ FCGI_STDOUT => "A: b\r\n\r\npart" ]);
        return;
    }

    if ($do =~ /^(?:short|open)$/) {
        records($socket,
                [ FCGI_STDOUT => "Content-Length: 9\r\n\r\npart" ],
                [ FCGI_END_REQUEST => "\0" x 8 ]);
        Test::Gray::Acting::await($socket, $do) if $do eq 'open';
        return;
    }

    return $do eq 'close' ? () : ('text', $do || 200);
}


sub records {
    my ($socket, @records) = @_;

    Test::Gray::Acting::text($socket, join '', map {
        Test::Gray::Backend::fastcgi_record(
            Test::Gray::Backend->can($_->[0])->(), 1, $_->[1])
    } @records);
}


sub memcached {
    my ($socket) = @_;

    my $line = '';

    until ($line =~ /\n/) {
        my $byte = Test::Gray::Backend::read_exactly($socket, 1);
        return unless defined $byte;
        $line .= $byte;
    }

    my ($key) = $line =~ /^get (\S+)\r\n/;
    my %answer = (
        found => "VALUE found 0 4\r\ntext\r\nEND\r\n",
        none  => "END\r\n",
        cut   => "VALUE cut 0 100\r\ntext",
        close => '',
    );

    Test::Gray::Acting::text($socket, $answer{$key});

    return;
}


# -- cases

sub get {
    my ($path, $do, $status, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $response = $counted->case("$path $do", sub {
        return $t->get("/$path?do=$do");
    }, @expected);

    is($response->{status}, $status, "$path $do: status");
}


for my $protocol (qw(fastcgi scgi uwsgi)) {
    my $canary = "$protocol canary: split";

    for my $path ($protocol, "$protocol/unbuffered") {
        get($path, $_, $_, "$canary 2xx, header, duration") for 200, 204;
        get($path, 404, 404, "$canary 4xx, header, duration");
        get($path, 500, 500, "$canary 5xx, header, duration");
    }

    $counted->case("$protocol HEAD", sub {
        $t->request('HEAD', "/$protocol?do=200");
    }, "$canary 2xx, header, duration");

    get("$protocol/dead", '', 502,
        'dead canary: split 5xx, connect, duration');
}

get('fastcgi', 'close', 502, 'fastcgi canary: split 5xx, reset, duration');

get('fastcgi', 'short', 599,
    'fastcgi canary: split 2xx, reset, header, duration');
get('fastcgi/unbuffered', 'open', 599,
    'fastcgi canary: split 2xx, invalid, header, duration');

# where connections are not kept, nginx takes its end for that of the response

get('fastcgi', 'cut', 200, 'fastcgi canary: split 2xx, header, duration');
get('fastcgi/kept', 'cut', 599,
    'fastcgi canary: split 2xx, reset, header, duration');
get('fastcgi/kept', '200', 200, 'fastcgi canary: split 2xx, header, duration');

my $canary = 'memcached canary: split';

get('memcached', 'found', 200, "$canary 2xx, header, duration");
get('memcached', 'none', 404, "$canary 4xx, header, duration");
get('memcached', 'cut', 599, "$canary 2xx, reset, header, duration");
get('memcached', 'close', 502, "$canary 5xx, reset, duration");
get('memcached/dead', 'found', 502,
    'dead canary: split 5xx, connect, duration');

$counted->case('memcached HEAD', sub {
    $t->request('HEAD', '/memcached?do=found');
}, "$canary 2xx, header, duration");

# what is not there comes from a second release

get('caught', '', 200, "$canary 4xx, header, duration",
    'uwsgi canary: split 2xx, header, duration');

$t->done;
