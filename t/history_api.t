#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The history of a release, and the way back to one of its revisions.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use MIME::Base64;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new;
my $state = $t->dir . '/state';
my $next = 0;

$t->write_file('users', "bob:{PLAIN}secret\n" . ('u' x 126)
                        . "\xc3\xa4\xc3\xb6:{PLAIN}secret\n");


sub text {
    my ($zone, $upstreams) = @_;

    my $third = $upstreams ? 'upstream v3 { server 127.0.0.1:1; }' : '';

    return <<"END";
worker_processes 2;

http {
    gray_zone  gray 2m $zone;
    gray_zone  plain 1m;

    upstream v1 { server 127.0.0.1:1; }
    upstream v2 { server 127.0.0.1:1; }
    $third

    gray_release app {
        zone gray;
        hash \$arg_uid;
        variant one;
        variant two weight=10%;
        variant three weight=20%;
    }

    gray_release other { zone gray; variant off; variant on weight=5%; }
    gray_release long { zone gray; variant off; variant on weight=5%; }
    gray_release plain { zone plain; variant off; variant on weight=5%; }

    gray_release routed {
        zone gray;
        hash \$arg_uid;
        variant stable v1;
        variant canary v2 weight=0%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /app { return 200 \$gray_app; }
        location /gray/ { gray_admin; }
        location /readonly/ { gray_admin readonly; }

        location /user/ {
            gray_admin;
            auth_basic on;
            auth_basic_user_file %%DIR%%/users;
        }

        location /real/ {
            gray_admin remote;
            set_real_ip_from 127.0.0.0/8;
            real_ip_header X-Client;
        }
    }
}
END
}


sub call {
    my ($method, $path, $data, @headers) = @_;

    return $t->api($method, "/gray/releases/$path", $data, @headers);
}


sub get { return call('GET', @_) }
sub get_raw { return $t->get("/gray/releases/$_[0]")->{body} }


sub revert {
    my ($path, $revision, @headers) = @_;

    my ($name, $args) = split /\?/, $path;

    return call('POST', "$name/revert" . (defined $args ? "?$args" : ''),
                { revision => $revision }, @headers);
}
sub history { return get("$_[0]/history")->{json}{revisions} }
sub last_of { return history($_[0])->[0] }


# a change of "other" that is one

sub change {
    my ($args, @headers) = @_;

    $args = '' unless defined $args;

    return call('PATCH', "other$args",
                { variants => { on => { weight => ++$next % 100 } } },
                @headers);
}


sub problem {
    my ($answer, $status, $detail, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($answer->{status}, $status, "$title: $status");
    like($answer->{json}{detail}, $detail, $title);
}


sub faults {
    my ($answer, $faults, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($answer->{status}, 422, "$title: 422");
    is_deeply({ map { $_->{pointer} => $_->{detail} }
                @{ $answer->{json}{errors} } }, $faults, $title)
        or diag($answer->{body});
}


# -- nginx.conf

for ([ 'state=state history=1'    => 'invalid history "1" of gray_zone "gray", '
                                     . 'must be a number from 2 to 1000' ],
     [ 'state=state history=1001' => 'invalid history "1001" of gray_zone '
                                     . '"gray", must be a number from 2 to '
                                     . '1000' ],
     [ 'state=state history=0'    => 'invalid history "0" of gray_zone "gray", '
                                     . 'must be a number from 2 to 1000' ],
     [ 'state=state history=-5'   => 'invalid history "-5" of gray_zone '
                                     . '"gray", must be a number from 2 to '
                                     . '1000' ],
     [ 'state=state history='     => 'invalid history "" of gray_zone "gray", '
                                     . 'must be a number from 2 to 1000' ],
     [ 'state=state history=2x'   => 'invalid history "2x" of gray_zone '
                                     . '"gray", must be a number from 2 to '
                                     . '1000' ],
     [ 'history=5'                => 'history of gray_zone "gray" needs '
                                     . 'state=DIR' ])
{
    my ($zone, $message) = @$_;
    my ($status, $said) = $t->test_config(text($zone));

    is($status, 1, "nginx -t: $zone");
    like($said, qr/\[emerg\] \Q$message\E in \S+:\d+$/m, "message: $zone");
}

for my $zone ('state=state history=2', 'history=1000 state=state') {
    my ($status, $said) = $t->test_config(text($zone));

    is($status, 0, "nginx -t: $zone") or diag($said);
}

my ($status, $said) = $t->test_config(text('state=state history=2 history=3'));

is($status, 1, 'nginx -t: history twice');
like($said, qr/\[emerg\].*history=/, 'message: history twice');


# -- what is there at first

$t->config(text('state=state history=100'))->start;

my $answer = get('other/history');

is($answer->{status}, 200, 'GET history');
like($answer->{headers}{'content-type'}, qr{^application/json\b}, 'its type');
is($answer->{headers}{'cache-control'}, 'no-store', 'it is not cached');
is($answer->{json}{release}, 'other', 'of this release');
is_deeply([ sort keys %{ $answer->{json} } ], [ 'release', 'revisions' ],
          'its members');
is(scalar @{ $answer->{json}{revisions} }, 1, 'a revision');

my $first = $answer->{json}{revisions}[0];

is_deeply([ sort keys %$first ],
          [ qw(author comment document origin revision time user) ],
          'members of a revision');
like($first->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'time');
is_deeply([ @$first{qw(revision origin author user comment)} ],
          [ 1, 'nginx.conf', 'nginx.conf', undef, undef ], 'as declared');
is($first->{document}{variants}{on}{weight}, 5, 'its document');


# -- who, and why

is(change()->{json}{revision}, 2, 'a change');
is_deeply([ @{ last_of('other') }{qw(revision origin author user comment)} ],
          [ 2, 'api', '127.0.0.1', undef, undef ], 'by an address');

my @bob = (Authorization => 'Basic ' . encode_base64('bob:secret', ''));
my $long = 'u' x 126 . "\xc3\xa4\xc3\xb6";
my @long = (Authorization => 'Basic ' . encode_base64("$long:secret", ''));

is($t->api('PATCH', '/user/releases/other',
           { variants => { on => { weight => 50 } } }, @bob)->{status}, 200,
   'a change by a user');
is(last_of('other')->{user}, 'bob', 'the user');

is($t->api('PATCH', '/user/releases/other',
           { variants => { on => { weight => 51 } } }, @long)->{status}, 200,
   'a change by one of a long name');

my $user = last_of('other')->{user};

ok(defined $user && $user =~ /^u{126}/ && length $user <= 128,
   'what there is room for')
    or diag(get('other/history')->{body});

is($t->api('PATCH', '/real/releases/other',
           { variants => { on => { weight => 52 } } },
           'X-Client' => '192.0.2.7')->{status}, 200,
   'a change from elsewhere');
is(last_of('other')->{author}, '192.0.2.7', 'the address that realip says');

for ([ 'a+b+c'                    => 'a b c' ],
     [ 'a%20b%2Bc%26d'            => 'a b+c&d' ],
     [ 'gr%C3%BC%C3%9Fe'          => "gr\x{fc}\x{df}e" ],
     [ "gr\xc3\xbc\xc3\x9fe"      => "gr\x{fc}\x{df}e" ],
     [ '%22%5C%7B%0a%09'          => "\"\\{\n\t" ],
     [ '%22%2C%22document%22%3A1' => '","document":1' ],
     [ '%F0%9F%9A%80'             => "\x{1f680}" ],
     [ ''                         => undef ],
     [ 'x' x 512                  => 'x' x 512 ],
     [ '%41' x 512                => 'A' x 512 ])
{
    my ($sent, $comment) = @$_;
    my $title = length $sent > 40 ? substr($sent, 0, 40) . '...' : $sent;

    is(change("?comment=$sent")->{status}, 200, "comment=$title");
    is(last_of('other')->{comment}, $comment, 'is what was meant');
}

is(change('', 'X-Gray-Comment' => "from a h\xc3\xa9ader")->{status}, 200,
   'X-Gray-Comment');
is(last_of('other')->{comment}, "from a h\x{e9}ader", 'the header');
is(change('?comment=argument', 'X-Gray-Comment' => 'header')->{status}, 200,
   'both');
is(last_of('other')->{comment}, 'argument', 'the argument');

# bytes that are no UTF-8 do not make a history that cannot be read

is(change('?comment=a%FFb%C3')->{status}, 200, 'no UTF-8');
ok(eval { JSON::PP->new->utf8->decode(get('other/history')->{body}) },
   'the history is JSON') or diag($@);
utf8::decode(my $valid = get('other/history')->{body});
ok(utf8::is_utf8($valid), 'in UTF-8');

# a null byte

is(change('?comment=a%00b')->{status}, 200, 'a null byte');
like(last_of('other')->{comment}, qr/^a/, 'is there');

my $revision = get('other')->{json}{revision};

problem(change('?comment=' . 'x' x 513), 400,
        qr/^the comment is 513 bytes long, more than 512$/, 'too long');
problem(change('', 'X-Gray-Comment' => 'x' x 600), 400,
        qr/^the comment is 600 bytes long, more than 512$/, 'too long');
problem(change('?comment=a&comment=b'), 400,
        qr/^the argument comment is given twice$/, 'twice');
problem(get('other?comment=a'), 400, qr/^unknown argument "comment"/, 'of GET');
is(get('other')->{json}{revision}, $revision, 'nothing was changed');

is(call('PUT', 'other?comment=put', get('other')->{json})->{status}, 200,
   'a PUT of what is in force');
is(last_of('other')->{revision}, $revision, 'makes no revision');

my $document = get('other')->{json};

$document->{variants}{on}{weight} = 77;
is(call('PUT', 'other?comment=put', $document)->{status}, 200, 'PUT');
is(last_of('other')->{comment}, 'put', 'its comment');
is(call('DELETE', 'other?comment=back')->{status}, 200, 'DELETE');
is_deeply([ @{ last_of('other') }{qw(origin author comment)} ],
          [ 'nginx.conf', '127.0.0.1', 'back' ], 'of DELETE');
is(change('?dry_run=1&comment=nothing')->{status}, 200, 'dry_run');
is(last_of('other')->{comment}, 'back', 'is not in the history');


# -- what GET takes

my $all = history('other');
my @numbers = map { $_->{revision} } @$all;

is_deeply(\@numbers, [ reverse 1 .. $numbers[0] ], 'the newest one first');
is(scalar(grep { $all->[$_]{time} gt $all->[$_ - 1]{time} } 1 .. $#$all), 0,
   'in the order of time');

for my $n (1, 3, $numbers[0]) {
    $answer = get("other/history?revision=$n");

    is($answer->{status}, 200, "revision=$n");
    is_deeply($answer->{json}, $all->[$numbers[0] - $n], 'is that of the list');
}

problem(get("other/history?revision=$_"), 404,
        qr/^no revision $_ in the history$/, "revision=$_")
    for $numbers[0] + 1, 999999;
problem(get("other/history?revision=$_"), 400,
        qr/^invalid value "\Q$_\E" of the argument revision, must be the number of a revision$/,
        "revision=$_")
    for '', 0, -1, 'x', '1x', '1.0', '%31', '9' x 30;
problem(get('other/history?revision=1&revision=1'), 400, qr/given twice/,
        'twice');
problem(get('other/history?revisions=1'), 400,
        qr/^unknown argument "revisions"; there is revision$/,
        'another argument');

for my $path ('other/history', 'other/history?revision=1') {
    my $head = $t->http->request('HEAD', "/gray/releases/$path");

    $answer = get($path);

    is($head->{status}, 200, "HEAD $path");
    is($head->{body}, '', 'no body');
    is($head->{headers}{'content-length'}, length $answer->{body},
       'as long as of GET');
}

is($t->http->request('HEAD', '/gray/releases/other/history?revision=999')
     ->{status}, 404, 'HEAD of none');
is(get('none/history')->{status}, 404, 'of no release');
is(get('other/history/')->{status}, 404, 'a slash');

for ([ POST => 'history' ], [ DELETE => 'history' ], [ PUT => 'history' ],
     [ GET => 'revert' ], [ DELETE => 'revert' ], [ PUT => 'revert' ])
{
    my ($method, $path) = @$_;

    $answer = call($method, "other/$path", $method =~ /P/ ? {} : undef);

    is($answer->{status}, 405, "$method $path");
    is($answer->{headers}{allow}, $path eq 'revert' ? 'POST' : 'GET, HEAD',
       'Allow');
}


# -- back to a revision, to the bucket

my %was;

srand 1;

for my $round (1 .. 30) {
    my $left = 100;
    my $two = int rand 60;
    my $three = int rand(100 - $two);
    my $rest = 100 - $two - $three;

    $answer = call('PATCH', 'app', { variants => {
        two => { weight => $two }, three => { weight => $three } },
        rules => [ { when => { '$arg_r' => "$round" },
                     variant => 'three' } ] });

    is($answer->{status}, 200, "round $round: $two, $three")
        or diag($answer->{body});
    $was{$answer->{json}{revision}} = $answer->{json};
}

is($t->get('/app?r=30')->{body}, 'three', 'the last one is in force');


# without what says which one it is

sub bare {
    my ($document) = @_;

    my %bare = %$document;

    delete @bare{qw(revision origin differs)};

    return \%bare;
}

my @revisions = sort { $a <=> $b } keys %was;
my $current = $revisions[-1];
my @users = map { "/app?uid=u$_" } 1 .. 300;
my $connection = $t->http->connect;

for my $to (@revisions[0, 1, 7, 15, 28]) {
    my $dry = revert('app?dry_run=1', $to);

    is($dry->{status}, 200, "dry run of $to");
    is($dry->{headers}{'x-gray-dry-run'}, 1, 'is one');
    is(get('app')->{json}{revision}, $current, 'and changes nothing');

    $answer = revert("app?comment=back+to+$to", $to, 'If-Match' =>
                     "\"$current\"");

    is($answer->{status}, 200, "revert to $to") or diag($answer->{body});
    is($answer->{json}{revision}, ++$current, 'is the next revision');
    is($answer->{headers}{etag}, "\"$current\"", 'ETag');
    is_deeply(bare($answer->{json}), bare($was{$to}),
              'the same document, to the bucket');
    is_deeply(bare(get('app')->{json}), bare($was{$to}), 'of GET, too');
    is_deeply(bare($dry->{json}), bare($answer->{json}),
              'and what the dry run said');
    is(last_of('app')->{comment}, "back to $to", 'its comment');
    is_deeply(last_of('app')->{document}{allocation}, $was{$to}{allocation},
              'in the history, too');
    is($t->get('/app?r=' . (1 + $to - $revisions[0]))->{body}, 'three',
       'its rule is in force');
}

# the same users get the same variants

is(revert('app', $revisions[4])->{status}, 200, 'back');

my @before = map { $_->{body} } $connection->pipeline(@users);

is(revert('app', $revisions[20])->{status}, 200, 'elsewhere');
isnt(join(' ', map { $_->{body} } $connection->pipeline(@users)), "@before",
     'other variants');
is(revert('app', $revisions[4])->{status}, 200, 'and back');
is_deeply([ map { $_->{body} } $connection->pipeline(@users) ], \@before,
          'each user has the variant of then');

# nothing to do

$current = get('app')->{json}{revision};
$answer = revert('app', $current);
is($answer->{status}, 200, 'to what is in force');
is($answer->{json}{revision}, $current, 'makes no revision');
$answer = revert('app', $revisions[4]);
is($answer->{status}, 200, 'to what is the same as in force');
is($answer->{json}{revision}, $current, 'makes none either');
is(last_of('app')->{revision}, $current, 'nor does the history have one');

problem(revert('app', $revisions[1], 'If-Match' => '"1"'), 412,
        qr/^If-Match names another revision than the current one, $current$/,
        'If-Match');

# to what nginx.conf had declared

$answer = revert('app', 1);
is($answer->{status}, 200, 'to the first one');
is($answer->{json}{origin}, 'api', 'by somebody');
is($answer->{json}{revision}, $current + 1, 'a new one');


# -- what POST refuses

my $last = get('app')->{json}{revision};

faults(revert('app', $last + 1),
       { '/revision' => 'no revision ' . ($last + 1) . ' in the history, '
                        . "which goes from 1 to $last" }, 'unknown');

for my $case ([ '[1]'     => 'an array' ], [ '7'    => 'a number' ],
              [ '"7"'     => 'a string' ], [ 'null' => 'null' ])
{
    faults(call('POST', 'app/revert', $case->[0]),
           { '' => 'must be an object with the member "revision"' },
           $case->[1]);
}

faults(call('POST', 'app/revert', '{}'),
       { '/revision' => 'must be the number of a revision' }, 'none');
faults(call('POST', 'app/revert', "{\"revision\":$_}"),
       { '/revision' => 'must be the number of a revision' },
       "revision: $_")
    for qw(0 -1 1.5 9007199254740992 "1" null [1] {"a":1} true);
faults(call('POST', 'app/revert', '{"revision":1,"to":2,"a/b":3}'),
       { '/to' => 'unknown member; there is "revision"',
         '/a~1b' => 'unknown member; there is "revision"' },
       'unknown members');

is(call('POST', 'app/revert', '{"revision":')->{status}, 400, 'no JSON');
is(call('POST', 'app/revert', '')->{status}, 400, 'an empty body');
is(call('POST', 'app/revert')->{status}, 415, 'none');
is(call('POST', 'app/revert', '{"revision":1}',
        'Content-Type' => 'text/plain')->{status}, 415, 'no JSON by its type');
problem(call('POST', 'app/revert?revision=1', '{"revision":1}'), 400,
        qr/^unknown argument "revision"; there is dry_run, comment$/,
        'a number in the query');
is(get('app')->{json}{revision}, $last, 'nothing was changed');


# -- without a state

for my $answer (get('plain/history'), get('plain/history?revision=1'),
                revert('plain', 1))
{
    problem($answer, 409,
            qr/^there is no history: it needs "state=DIR" of gray_zone "plain"$/,
            'no state');
}

is(call('PATCH', 'plain?comment=kept+nowhere', { enabled => JSON::PP::false })
     ->{status}, 200, 'a comment is taken');
is($t->api('GET', '/gray/status')->{json}{zones}[0]{history}, 100,
   'status: how many are kept');


# -- who gets in

is($t->get('/readonly/releases/app/history')->{status}, 200,
   'readonly: history');
problem($t->api('POST', '/readonly/releases/app/revert', { revision => 2 }),
        403, qr/"gray_admin readonly"/, 'readonly: revert');
is($t->api('GET', '/gray/releases/app/history', undef,
           Host => 'evil.example')->{status}, 403, 'another name: history');
is($t->api('POST', '/gray/releases/app/revert', { revision => 2 },
           Host => 'evil.example')->{status}, 403, 'another name: revert');
is($t->api('GET', '/user/releases/app/history')->{status}, 401,
   'no password: history');
is($t->api('POST', '/user/releases/app/revert', { revision => 2 })->{status},
   401, 'no password: revert');
is(get('app')->{json}{revision}, $last, 'nothing was changed');


# -- an upstream that nginx.conf no longer has

$t->config(text('state=state history=100', 1));
ok($t->reload(gone => 1), 'a third upstream');
is(call('PATCH', 'routed', { variants => { canary => { upstream => 'v3' } } })
     ->{json}{revision}, 2, 'is used');
is(call('PATCH', 'routed', { variants => { canary => { upstream => 'v2' } } })
     ->{json}{revision}, 3, 'and no more');

$t->config(text('state=state history=100'));
ok($t->reload(gone => 1), 'it is gone');

$answer = revert('routed', 2);
is($answer->{status}, 422, 'no way back to it');
is($answer->{json}{errors}[0]{pointer}, '/variants/canary/upstream',
   'the pointer');
like($answer->{json}{errors}[0]{detail}, qr/v3/, 'the detail');
is(get('routed')->{json}{revision}, 3, 'nothing was changed');

# one that is live may stay, and be disabled

$t->config(text('state=state history=100', 1));
ok($t->reload(gone => 1), 'it is there again');
is(revert('routed', 2)->{json}{revision}, 4, 'the way back');
$t->config(text('state=state history=100'));
ok($t->reload(gone => 1), 'it is gone while it is used');
is(revert('routed', 2)->{status}, 200, 'to what is in force');
is(call('PATCH', 'routed', { enabled => JSON::PP::false })->{status}, 200,
   'disabled');
is(get('routed')->{json}{enabled}, 0, 'it is');
is(revert('routed', 3)->{status}, 200, 'back to what has it no more');


# -- as many as history=N

my $records = sub { scalar(() = $t->read_file("state/$_[0].jsonl") =~ /\n/g) };

$t->config(text('state=state history=3'));
ok($t->reload(gone => 1), 'history=3');

$answer = history('other');
is(scalar @$answer, 3, 'as many are shown');
is($answer->[0]{revision}, $numbers[0], 'the last ones');
problem(get('other/history?revision=' . ($numbers[0] - 3)), 404,
        qr/^no revision/, 'and no older one');
faults(revert('other', $numbers[0] - 3),
       { '/revision' => 'no revision ' . ($numbers[0] - 3) . ' in the history, '
                        . 'which goes from ' . ($numbers[0] - 2)
                        . " to $numbers[0]" }, 'nor back to it');

my $most = 0;

for (1 .. 30) {
    is(change()->{status}, 200, 'a change');

    # the file is made shorter after it was answered

    wait_until(sub { $records->('other') <= 6 });

    my $now = $records->('other');

    $most = $now if $now > $most;
}

cmp_ok($most, '<=', 6, 'the file has no more than twice as many');
cmp_ok($most, '>', 3, 'it is not written anew each time');
is(scalar @{ history('other') }, 3, 'as many are shown');
is(history('other')->[0]{revision}, get('other')->{json}{revision},
   'the last ones');
ok(!-e "$state/other.jsonl.bad", 'none of it is damage');

$t->stop;
$t->start;
is(scalar @{ history('other') }, 3, 'after a restart');


# -- as many as fit 16 MiB

$t->config(text('document=1m state=big history=1000') =~ s/gray 2m/gray 12m/r
           =~ s/gray_admin;/gray_admin; client_max_body_size 8m;/r);
$t->stop;
$t->start;

my $rule = { variant => 'on', when => { '$arg_x' => { in =>
             [ map { 'x' x 1000 . $_ } 1 .. 900 ] } } };
my ($largest, $made) = (0, 0);

for my $round (1 .. 45) {
    $rule->{when}{'$arg_x'}{in}[0] = "round $round";

    $answer = call('PATCH', 'long', { rules => [ $rule ] });
    $made++ if $answer->{status} == 200;

    my $size = -s $t->dir . '/big/long.jsonl';
    $largest = $size if $size > $largest;
}

is($made, 45, '45 documents of 0.9 MB');

# twice as much, and the record that was too many

cmp_ok($largest, '<=', 2 * 16777216 + 2 ** 20, 'the file is no longer');
cmp_ok($largest, '>', 16777216, 'than twice 16 MiB');

# its lines are counted: to decode so much takes long

my @kept = get_raw('long/history') =~ /^    \{"revision":(\d+),/mg;

cmp_ok(scalar @kept, '>=', 15, 'what fits is kept');
is($kept[0], 46, 'the last one, too');
is_deeply(\@kept, [ reverse $kept[-1] .. 46 ], 'and all between');

is(revert('long', $kept[-1])->{status}, 200, 'back to the oldest');
is(get('long')->{json}{rules}[0]{when}{'$arg_x'}{in}[0],
   'round ' . ($kept[-1] - 1), 'is there, whole');

$t->done;
