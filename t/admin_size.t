#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The admin API: a document that fills its place in the zone can be disabled
# and reset, and none that is longer is taken.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;


my $limit = 1024;
my $t = Test::Gray->new;
my $json = JSON::PP->new->canonical;


# a document of the canonical form, and of that many bytes

sub document {
    my ($size, %member) = @_;

    my %document = (
        enabled  => JSON::PP::true(),
        baseline => 'off',
        hash     => [ '$arg_uid' ],
        salt     => 'app',
        variants => { off => {}, a => { weight => 10 },
                      b => { weight => 10 } },
        rules    => [ { when => { '$arg_a' => 'x' }, variant => 'a' } ],
        allocation => { a => [ [ 0, 100000 ] ], b => [ [ 100000, 200000 ] ] },
        %member
    );

    my $more = $size - length $json->encode(\%document);

    $document{rules}[0]{when}{'$arg_a'} .= 'x' x $more if $more > 0;
    return \%document;
}


sub text {
    my ($zone) = @_;

    return <<"END";
http {
    gray_zone  gray $zone document=1k;

    gray_release app      { zone gray; document declared.json; }
    gray_release declared { zone gray; document declared.json; }

    server {
        listen  127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; }
        location /      { return 200 "\$gray_app \$gray_app_reason"; }
    }
}
END
}


# the argument for which the rule of a document of that size holds

sub holds {
    my ($size, %member) = @_;

    return '/?a=' . document($size, %member)->{rules}[0]{when}{'$arg_a'};
}


my $app = '/gray/releases/app';
my %off = (enabled => JSON::PP::false());

sub put   { return $t->api('PUT', $app, document(@_)) }
sub patch { return $t->api('PATCH', $app, { @_ }) }

sub too_large {
    my ($response, $size, $max, $name) = @_;

    is($response->{status}, 413, $name);
    is_deeply($response->{json}{errors},
              [ { pointer => '', detail => "is $size bytes long, the zone "
                  . "takes documents of at most $max: document=SIZE of "
                  . 'gray_zone' } ], "$name: sizes");
}


$t->write_file('declared.json', $json->encode(document($limit)));
$t->config(text('1m'))->start;


# -- as long as can be, and the kill switch

is($t->get(holds($limit))->{body}, 'a rule', 'declared at the limit');

for my $round (1, 2) {
    my $response = patch(%off);

    is($response->{status}, 200, "disabled, $round")
        or diag($response->{body});
    ok(!$response->{json}{enabled}, "disabled, $round: served");
    is($t->get(holds($limit))->{body}, 'off disabled',
       "disabled, $round: in force");

    is(patch(enabled => JSON::PP::true())->{status}, 200, "enabled, $round");
    is($t->get(holds($limit))->{body}, 'a rule', "enabled, $round: in force");
}


# -- a byte more

too_large(put($limit + 1), $limit + 1, $limit, 'a byte more');
too_large(put($limit + 2, %off), $limit + 2, $limit + 1,
          'two bytes more, disabled');
is($t->get(holds($limit))->{body}, 'a rule', 'nothing is changed');

is(put($limit + 1, %off)->{status}, 200, 'a byte more, disabled');
is(patch(enabled => JSON::PP::true())->{status}, 200, 'and enabled');
is(patch(%off)->{status}, 200, 'and disabled');

my $before = $t->api('GET', $app)->{json};

for my $zone ('1m', '2m') {
    $t->config(text($zone));
    ok($t->reload, "reload, zone of $zone");
    is_deeply($t->api('GET', $app)->{json}, $before, "$zone: it is kept");
    is($t->get(holds($limit + 1, %off))->{body}, 'off disabled',
       "$zone: disabled");
}

$before = $t->api('GET', $app)->{json}{revision};
too_large(put($limit + 100), $limit + 100, $limit, 'much more');
is($t->api('GET', $app)->{json}{revision}, $before, 'nothing is changed');


# -- what nginx.conf declares fits, but not with what a history has made

my $declared = '/gray/releases/declared';

sub weigh {
    my ($variant, $weight) = @_;

    is($t->api('PATCH', $declared, { variants => {
           $variant => { weight => $weight } } })->{status}, 200,
       "$variant: $weight");
}

$t->api('PATCH', $declared, { rules => [] });
weigh(a => 5);
weigh(b => 15);
weigh(a => 10);
weigh(b => 10);

my $history = [ [ 0, 50000 ], [ 200000, 250000 ] ];

is_deeply($t->api('GET', $declared)->{json}{allocation}{a}, $history,
          'the allocation is longer');

my $reset = $t->api('DELETE', $declared);

is($reset->{status}, 200, 'DELETE') or diag($reset->{body});
is($reset->{json}{origin}, 'nginx.conf', 'DELETE: as declared');
is_deeply($reset->{json}{rules}, document($limit)->{rules}, 'DELETE: rules');
is_deeply($reset->{json}{allocation}, document($limit)->{allocation},
          'DELETE: with the allocation of the first revision');


# -- the same of a reload

$t->write_file('declared.json', $json->encode(document($limit - 100)));
ok($t->reload, 'a shorter one');

$t->api('PATCH', $declared, { rules => [] });
weigh(a => 5);
weigh(b => 15);
weigh(a => 10);

$reset = $t->api('DELETE', $declared)->{json};
is_deeply($reset->{allocation}{a}, $history, 'a longer one fits');

$t->write_file('declared.json', $json->encode(document($limit)));
ok($t->reload, 'as long as can be');

my $now = $t->api('GET', $declared)->{json};

is($now->{revision}, $reset->{revision} + 1, 'it is taken up');
is_deeply($now->{rules}, document($limit)->{rules}, 'with its rules');
is_deeply($now->{allocation}, document($limit)->{allocation},
          'and the allocation of a first revision');

$t->done;
